"""The dashboard node: a web page that shows the running graph, with buttons."""
