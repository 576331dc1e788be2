"""Where a value came from: fingerprints of what was read, found again in what is sent.

What belongs here: everything between a text and an `Origin`, without storing any of it.
`folding` makes writings of the same thing equal, `decoding` undoes encodings, `atoms` finds the
values of note in a text, `stops` says what is none, `prints` turns both into keyed fingerprints to
store and to look up, `origin` reads what was found, `trail` follows what is sent in small pieces.
"""

from proxy.policy.origins.origin import explain, origin_of
from proxy.policy.origins.prints import Lookup, Part, Printed, Printer
from proxy.policy.origins.trail import Trail

__all__ = ["Lookup", "Part", "Printed", "Printer", "Trail", "explain", "origin_of"]
