"""Each way of writing points down, as a table; and back."""
