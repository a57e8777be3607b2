"""The Ministry of Public Health: referrals as its 43 files and as MOPH Refer (nRefer) takes them."""
