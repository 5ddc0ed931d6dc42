"""The API: operations with their parameters and schemas, one module a group, and their document."""
