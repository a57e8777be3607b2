"""Simulated head CT studies for the benchmarks, made once and kept."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DISTINCT = 6
"""Heads that are really simulated; the rest are copies under new UIDs, which costs the hub the same."""
