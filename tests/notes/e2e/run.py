#!/usr/bin/env python3
"""Runs one scenario against real processes of the notes program, or lists them all."""

import sys

import scenarios
import service


def main():
    names = [name for name in vars(scenarios) if name.startswith("test_")]
    if len(sys.argv) == 2 and sys.argv[1] == "--list":
        print("\n".join(names))
        return 0
    if len(sys.argv) != 3 or sys.argv[2] not in names:
        print(f"usage: run.py PROGRAM SCENARIO\nscenarios: {' '.join(names)}", file=sys.stderr)
        return 2
    service.PROGRAM = sys.argv[1]
    with service.World() as world:
        getattr(scenarios, sys.argv[2])(world)
    print(f"{sys.argv[2]}: passed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
