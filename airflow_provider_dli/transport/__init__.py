# SPDX-License-Identifier: Apache-2.0
"""The only room with sockets and sleeping: each module carries out what a flow asks for."""
