"""The contract suites, as public API: anything that fits a socket can be held to the socket's laws.

``archsmith.testing.strategy``, ``.executor``, ``.store`` and ``.estimator`` each hold the laws of one protocol as
functions of a factory; ``archsmith.testing.bank`` holds those of shared weights, ``.relaxation`` and ``.sampler`` those
of the methods on them; ``archsmith.testing.spaces`` draws random spaces, and ``.invariants`` says what holds of every
run, whatever happened to it. Hypothesis must be installed.
"""

__all__: list[str] = []
