"""Tables that stages hand to each other: their columns, and Parquet files of them."""
