"""The renderer that animates one picture of a face on the processor."""
