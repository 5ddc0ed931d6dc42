"""Why a captured request was refused: it goes through the receiver's own checks, and a wrong signature is searched.

``captures`` and ``curl`` read the capture, ``walk`` sends it through the checks, ``search`` looks for the causes of a
wrong signature: ``addresses``, ``bodies``, ``keys`` and ``texts`` list the possible ones.
"""
