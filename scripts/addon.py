"""`mitmdump -s scripts/addon.py`: the same addon, for people who already live in mitmproxy.

A shim on purpose: mitmproxy loads a `-s` script without putting it in `sys.modules`, and a broken edit
of a live script unloads it. The addon itself is in the installed package.
"""

from proxy.service import addon_from_environment

addons = [addon_from_environment()]
