"""The files an admin edits, read into frozen values; every problem reads ``file:line:column: what; how to fix it``.

``places`` and ``document`` parse files with positions, ``reading`` and ``secrets`` read typed values. Each file has a
module (``instance``, ``options``, ``roster``, ``catalog``, ``roles``, ``instances``), ``check`` checks all together.
``installation`` loads what instance.yaml names, ``configuration`` has the files in effect, ``reload`` follows edits.
"""
