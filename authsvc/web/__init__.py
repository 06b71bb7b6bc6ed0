"""The HTTP server: parses requests into values, and renders values as replies. Decisions are made elsewhere."""
