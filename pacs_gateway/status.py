"""Statuses the listener answers, each with the section that defines it."""

# General - PS3.7 Annex C
SUCCESS = 0x0000
"""C.1.1"""
PROCESSING_FAILURE = 0x0110
"""C.5.21"""
DUPLICATE_INSTANCE = 0x0111
"""C.5.6"""
NO_SUCH_INSTANCE = 0x0112
"""C.5.16"""
INVALID_ARGUMENT = 0x0115
"""C.5.10"""
SOP_CLASS_NOT_SUPPORTED = 0x0122
"""C.5.27"""
UNRECOGNISED_OPERATION = 0x0211
"""C.5.30"""
RESOURCE_LIMITATION = 0x0213
"""C.5.23"""

# Storage service class - PS3.4 Annex B.2.3, table B.2-1
OUT_OF_RESOURCES = 0xA700
"""Refused; the sender should try again later."""
DATA_SET_MISMATCH = 0xA900
"""The data set is not of the SOP class or instance announced."""
CANNOT_UNDERSTAND = 0xC000
"""The data set cannot be read; sending it again changes nothing."""
OTHER_STUDY = 0xC409
"""STOW-RS alone: the instance is of another study than the one that the address names."""

COMMENT_LIMIT = 64
"""ErrorComment is LO - PS3.7 table C.4-2."""
