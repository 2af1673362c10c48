"""What goes wrong between processes, done on purpose.

``_proxy`` stands in the network, ``worker`` is a process that publishes or handles, its journal is
written outside the broker, and ``_oracle`` reads every journal and says which promise was broken.
Everything uses the public API only, so it serves every transport between processes.
``python -m tests.faults.chaos`` is the long run; the tests beside it are the short ones.
"""

from __future__ import annotations

__all__: list[str] = []
