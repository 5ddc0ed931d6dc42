"""Pages of records: lists, boards, details, forms and conflicts."""
