"""Run a model without training it."""

from contextlib import contextmanager

import torch


@contextmanager
def inference(model):
    """Evaluation mode and no autograd inside; every module's own mode is restored after."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        for module, training in modes:
            module.training = training


def device_of(model):
    """The device of the model's first parameter or buffer, the CPU if it has neither."""
    for tensor in (*model.parameters(), *model.buffers()):
        return tensor.device
    return torch.device("cpu")
