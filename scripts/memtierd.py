#!/usr/bin/python3 -IS
"""The installed program: runs memtierd with the packages in ../lib/memtierd and no others."""

import os
import sys

sys.path.append(os.path.join(os.path.dirname(os.path.dirname(os.path.realpath(__file__))), "lib", "memtierd"))

from memtierd.__main__ import main

sys.exit(main())
