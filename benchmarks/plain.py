"""The source lesson's training, written straightforwardly: what the library is compared with."""

import time

import torch
from torch import nn

from convae_lib import Autoencoder


class PlainTraining:
    """The lesson's network, trained with SGD in batches of 60."""

    def __init__(self, train, seed):
        torch.manual_seed(seed)
        self.model = Autoencoder(hidden_dim=28)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.01, momentum=0.9)
        self.criterion = nn.MSELoss()
        self.train, self.seed = train, seed
        self.seconds = 0.0  # spent training

    def steps(self, epochs=1):
        """Train; yield the number of steps taken after each."""
        torch.manual_seed(self.seed)  # so that the order of the images is the library's
        taken = 0
        for _ in range(epochs):
            start = time.perf_counter()
            order = torch.randperm(len(self.train))
            x_train, y_train = self.train[order], self.train[order]
            self.seconds += time.perf_counter() - start
            for first in range(0, len(x_train), 60):
                start = time.perf_counter()
                x, y = x_train[first : first + 60], y_train[first : first + 60]
                self.optimizer.zero_grad()
                loss = self.criterion(self.model(x)[0], y)
                loss.backward()
                self.optimizer.step()
                self.seconds += time.perf_counter() - start
                taken += 1
                yield taken


def evaluate_in_one_piece(model, test):
    """The lesson's evaluation: all images at once, and autograd keeps every activation."""
    return nn.functional.mse_loss(model(test)[0], test).item()
