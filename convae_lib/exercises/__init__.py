"""The exercises at the end of each lesson: ``from convae_lib.exercises import lesson02 as ex``."""
