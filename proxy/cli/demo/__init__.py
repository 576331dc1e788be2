"""The demo's actors: a scripted model, a billing API, agents on the vendors' SDKs, and the story.

Tests use the same actors: `model.ScriptedModel` is a strict stand-in for the three model APIs.
"""
