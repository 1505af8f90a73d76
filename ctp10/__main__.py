"""`python -m ctp10`."""

from ctp10.cli import main

main(prog_name="ctp10")
