"""Run a function in a process of its own."""

import logging
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context


def run_in_new_process(function, *arguments):
    """Call a function in a new process and return its result.

    Memory that earlier measurements used would make it slower in this one. Log messages up to the
    level of ``logging.INFO`` are not shown.
    """
    context = get_context("spawn")
    with ProcessPoolExecutor(1, context, logging.disable, [logging.INFO]) as pool:
        return pool.submit(function, *arguments).result()
