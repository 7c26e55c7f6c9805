"""What all stages share: params, units and their publication, stores, tables, geometry."""
