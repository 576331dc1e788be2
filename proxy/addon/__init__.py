"""mitmproxy's hooks and the stream glue; the only room that imports mitmproxy."""
