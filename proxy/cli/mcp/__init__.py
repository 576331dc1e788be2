"""`checkrein mcp`: a tool server over stdio, with every message judged on its way."""
