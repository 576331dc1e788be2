"""Google's Gemini API: generateContent and streamGenerateContent, on the Developer API and on Vertex; `protocol.py` says which part reads what."""
