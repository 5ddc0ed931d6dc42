"""Why a captured request was refused: it goes through the receiver's own checks, and a failed signature is searched.

``captured`` and ``curl`` read what was captured, ``walk`` sends it through the checks, ``search`` looks for the mistake
that makes a signature fit: ``bodies``, ``keys`` and ``texts`` list the mistakes there are.
"""

from __future__ import annotations

from crm_core.explain.captured import read_capture
from crm_core.explain.explanation import Cause, ExplainedCheck, Explanation, Rules
from crm_core.explain.form import Captured, Unreadable
from crm_core.explain.walk import explain

__all__ = ["Captured", "Cause", "ExplainedCheck", "Explanation", "Rules", "Unreadable", "explain", "read_capture"]
