"""Schemas and Parquet files of the tables that stages exchange."""
