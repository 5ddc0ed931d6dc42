"""Why a captured request was refused: it goes through the receiver's own checks, and a wrong signature is searched.

``captures`` and ``curl`` read the capture, ``walk`` sends it through the checks, ``search`` looks for the causes of a
wrong signature: ``addresses``, ``bodies``, ``keys`` and ``texts`` list the possible ones.
"""

from __future__ import annotations

from crm_core.explain.captured_request import CapturedRequest, UnreadableCapture
from crm_core.explain.captures import read_capture
from crm_core.explain.cause import Cause
from crm_core.explain.explanation import ExplainedCheck, Explanation, ReceiverRules
from crm_core.explain.walk import explain

__all__ = [
    "CapturedRequest",
    "Cause",
    "ExplainedCheck",
    "Explanation",
    "ReceiverRules",
    "UnreadableCapture",
    "explain",
    "read_capture",
]
