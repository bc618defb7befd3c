"""Networks of several styles, as people write them: plain torch, nothing of ours."""

import torch
import torch.nn.functional as F
from torch import nn


class Plain(nn.Module):
    """Convolutions by name, functional calls, a flatten by view."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 5, padding=2)
        self.conv2 = nn.Conv2d(16, 32, 3, padding=1)
        self.fc1 = nn.Linear(32 * 4, 24)
        self.fc2 = nn.Linear(24, 5)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = x.view(x.size(0), -1)
        return self.fc2(F.relu(self.fc1(x)))


class BasicBlock(nn.Module):
    def __init__(self, inputs, outputs, stride=1):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride > 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x):
        identity = x if self.downsample is None else self.downsample(x)
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += identity
        return F.relu(out)


class ResNet(nn.Module):
    def __init__(self, widths=(16, 32), blocks=3, classes=5):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, widths[0], 3, 1, 1, bias=False), nn.BatchNorm2d(widths[0]), nn.ReLU())
        stages, inputs = [], widths[0]
        for i, width in enumerate(widths):
            stage = [BasicBlock(inputs if j == 0 else width, width, 2 if i and not j else 1) for j in range(blocks)]
            stages.append(nn.Sequential(*stage))
            inputs = width
        self.layers = nn.ModuleList(stages)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(inputs, classes)

    def forward(self, x):
        x = self.stem(x)
        for layer in self.layers:
            x = layer(x)
        return self.fc(torch.flatten(self.pool(x), 1))


class SqueezeExcite(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.reduce = nn.Conv2d(channels, channels // 4, 1)
        self.expand = nn.Conv2d(channels // 4, channels, 1)

    def forward(self, x):
        gate = x.mean((2, 3), keepdim=True)
        return x * torch.sigmoid(self.expand(F.silu(self.reduce(gate))))


class Inverted(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        hidden = inputs * 4
        self.layers = nn.Sequential(
            nn.Conv2d(inputs, hidden, 1, bias=False),
            nn.BatchNorm2d(hidden),
            nn.Hardswish(),
            nn.Conv2d(hidden, hidden, 5, stride, 2, groups=hidden, bias=False),
            nn.BatchNorm2d(hidden),
            nn.Hardswish(),
            SqueezeExcite(hidden),
            nn.Conv2d(hidden, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x):
        return x + self.layers(x) if self.residual else self.layers(x)


class MobileNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1),
            nn.GroupNorm(4, 8),
            Inverted(8, 8, 1),
            Inverted(8, 16, 2),
            Inverted(16, 16, 1),
            nn.Conv2d(16, 32, 3, padding=1, groups=4),
            nn.PReLU(32),
        )
        self.classifier = nn.Linear(32, 5)

    def forward(self, x):
        return self.classifier(self.features(x).mean([2, 3]))


class DenseLayer(nn.Module):
    def __init__(self, inputs, growth):
        super().__init__()
        self.norm1, self.conv1 = nn.BatchNorm2d(inputs), nn.Conv2d(inputs, 2 * growth, 1, bias=False)
        self.norm2, self.conv2 = nn.BatchNorm2d(2 * growth), nn.Conv2d(2 * growth, growth, 3, padding=1, bias=False)

    def forward(self, x):
        return torch.cat([x, self.conv2(F.relu(self.norm2(self.conv1(F.relu(self.norm1(x))))))], 1)


class DenseNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(1, 16, 3, padding=1)
        self.dense = nn.Sequential(*(DenseLayer(16 + 8 * i, 8) for i in range(3)))
        self.head = nn.Sequential(nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(40 * 4, 5))

    def forward(self, x):
        return self.head(self.dense(self.stem(x)))


class TableBlock(nn.Module):
    def __init__(self, width, hidden):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.up, self.down = nn.Linear(width, hidden), nn.Linear(hidden, width)

    def forward(self, x):
        return x + self.down(F.dropout(F.gelu(self.up(self.norm(x))), 0.1, self.training))


class Table(nn.Module):
    def __init__(self):
        super().__init__()
        self.start = nn.Linear(12, 32)
        self.block1 = TableBlock(32, 64)
        self.block2 = TableBlock(32, 64)
        self.end = nn.Linear(32, 1)

    def forward(self, x):
        return self.end(self.block2(self.block1(self.start(x))))


class Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x):
        b, t, c = x.shape
        q, k, v = self.qkv(x).view(b, t, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        return self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, t, c))


class EncoderBlock(nn.Module):
    def __init__(self, width, heads, hidden):
        super().__init__()
        self.norm1, self.attention = nn.LayerNorm(width), Attention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))

    def forward(self, x):
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class Transformer(nn.Module):
    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(1, 16, 4, 4)
        self.token = nn.Parameter(torch.randn(1, 1, 16))
        self.position = nn.Parameter(torch.randn(1, 5, 16))
        self.blocks = nn.ModuleList(EncoderBlock(16, 2, 32) for _ in range(2))
        self.norm, self.head = nn.LayerNorm(16), nn.Linear(16, 5)

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1) + self.position
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x)[:, 0])


class Encoder(nn.Module):
    """Torch's own encoder layers."""

    def __init__(self):
        super().__init__()
        layer = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=True)
        self.encoder = nn.Sequential(layer, nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=True))
        self.head = nn.Linear(16, 5)

    def forward(self, x):
        return self.head(self.encoder(x).mean(1))


class Stacked(nn.Module):
    """Torch's own stack of encoder layers, steps first, which ends in a norm."""

    def __init__(self):
        super().__init__()
        layer = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, norm_first=True)
        self.before = nn.Linear(6, 16)
        self.encoder = nn.TransformerEncoder(layer, 2, nn.LayerNorm(16), enable_nested_tensor=False)
        self.head = nn.Linear(16, 5)

    def forward(self, x):
        return self.head(self.encoder(torch.relu(self.before(x.transpose(0, 1)))).mean(0))


class Masked(nn.Module):
    """Torch's own stack of encoder layers, which is given a mask."""

    def __init__(self):
        super().__init__()
        layer = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.hidden, self.head = nn.Linear(16, 16), nn.Linear(16, 5)

    def forward(self, x):
        x = self.encoder(x, src_key_padding_mask=x.sum(-1) > 1e9)
        return self.head(torch.relu(self.hidden(x.mean(1))))


class Functional(nn.Module):
    """Weights of its own, used by a function."""

    def __init__(self):
        super().__init__()
        self.w, self.b = nn.Parameter(torch.randn(16, 8)), nn.Parameter(torch.zeros(16))
        self.hidden, self.end = nn.Linear(16, 16), nn.Linear(16, 2)

    def forward(self, x):
        return self.end(torch.relu(self.hidden(torch.tanh(F.linear(x, self.w, self.b)))))


class Heads(nn.Module):
    """Returns several tensors, in whatever holds them."""

    def __init__(self, hold):
        super().__init__()
        self.body, self.a, self.b = nn.Linear(8, 16), nn.Linear(16, 2), nn.Linear(16, 3)
        self.hold = hold

    def forward(self, x):
        x = torch.relu(self.body(x))
        return self.hold(self.a(x), self.b(x))


class Recurrent(nn.Module):
    """A recurrent layer stays as it is; what comes after it can vary."""

    def __init__(self):
        super().__init__()
        self.before, self.lstm = nn.Linear(6, 16), nn.LSTM(16, 16, batch_first=True)
        self.after, self.end = nn.Linear(16, 16), nn.Linear(16, 5)

    def forward(self, x):
        x, _ = self.lstm(self.before(x))
        return self.end(torch.tanh(self.after(x[:, -1])))


class Reused(nn.Module):
    """One layer called three times, one module under two names, a buffer, and weights used in two places."""

    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(11, 16)
        self.step = nn.Linear(16, 16)
        self.first = nn.Sequential(nn.Linear(16, 24), nn.ReLU(), nn.Linear(24, 16))
        self.again = self.first
        self.end = nn.Linear(16, 11, bias=False)
        self.end.weight = self.words.weight
        self.register_buffer("weights", torch.linspace(0, 1, 7)[None, :, None])

    def forward(self, x):
        x = self.words(x) * self.weights
        for _ in range(3):
            x = torch.tanh(self.step(x))
        return self.end(x + self.again(self.first(x))).sum(1)


class Gated(nn.Module):
    """Halves of one layer that gate each other, layer scale, and a reshape with a number written in it."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 32, 3, padding=1)
        self.scale = nn.Parameter(torch.rand(16, 1, 1))
        self.up = nn.Sequential(nn.Conv2d(16, 32, 1), nn.PixelShuffle(2))
        self.down = nn.Conv2d(8, 8, 2, 2)
        self.end = nn.Linear(8 * 16, 5)

    def forward(self, x):
        a, b = self.conv(x).chunk(2, 1)
        x = self.down(self.up(self.scale * a * torch.sigmoid(b)))
        return self.end(F.adaptive_avg_pool2d(x, 4).reshape(-1, 128))


class Pooled(nn.Module):
    """Pools by a norm and by maxima, and makes numbers of its own, of one precision."""

    def __init__(self):
        super().__init__()
        self.conv, self.end = nn.Conv2d(1, 16, 3), nn.Linear(16, 5)

    def forward(self, x):
        x = F.relu(self.conv(x))
        highest = x.max(3, keepdim=True)[0].max(2, keepdim=True)[0].flatten(1)
        return self.end(x.norm(2, (2, 3)) + highest) @ torch.eye(5)


class Branching(nn.Module):
    """Looks at numbers."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(4, 8), nn.Linear(8, 2)

    def forward(self, x):
        x = self.a(x)
        if x.sum() > 0:
            x = -x
        return self.b(x)


class Stubborn(nn.Module):
    """Checks what only its author knows: a size, and how many blocks there are."""

    def __init__(self):
        super().__init__()
        self.a = nn.Linear(8, 16)
        self.b = nn.Linear(16, 16)
        self.blocks = nn.ModuleList([TableBlock(16, 32), TableBlock(16, 32)])
        self.end = nn.Linear(16, 2)

    def forward(self, x):
        x = self.a(x)
        if x.shape[1] % 16:
            raise ValueError("16 at a time")
        x = self.b(torch.relu(x))
        return self.end(self.blocks[1](self.blocks[0](x)))


def by_index(qkv, heads, size):
    qkv = qkv.reshape(*qkv.shape[:2], 3, heads, size).permute(2, 0, 3, 1, 4)
    return qkv[0], qkv[1], qkv[2]


def by_unbind(qkv, heads, size):
    return qkv.reshape(*qkv.shape[:2], 3, heads, size).permute(2, 0, 3, 1, 4).unbind(0)


def by_unbind_of_a_named_axis(qkv, heads, size):
    parts = torch.unbind(qkv.reshape(*qkv.shape[:2], 3, heads, size), dim=-3)
    return [part.transpose(1, 2) for part in parts]


def by_chunk(qkv, heads, size):
    return [part.view(*part.shape[:2], heads, size).transpose(1, 2) for part in qkv.chunk(3, dim=-1)]


class CutAttention(nn.Module):
    """Sizes its heads by its input, whatever the layer that makes queries, keys and values gives."""

    def __init__(self, width, heads, cut):
        super().__init__()
        self.heads, self.cut = heads, cut
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x):
        b, t, c = x.shape
        q, k, v = self.cut(self.qkv(x), self.heads, c // self.heads)
        weights = (q @ k.transpose(-2, -1) * (c // self.heads) ** -0.5).softmax(-1)
        return self.out((weights @ v).transpose(1, 2).reshape(b, t, c))


class CutBlock(EncoderBlock):
    def __init__(self, width, heads, hidden, cut):
        super().__init__(width, heads, hidden)
        self.attention = CutAttention(width, heads, cut)


class Vision(nn.Module):
    """Patches, their places, residual blocks in a sequence, a mean over the patches."""

    def __init__(self, cut, width=16, blocks=2):
        super().__init__()
        self.patches = nn.Conv2d(1, width, 2, 2)
        self.position = nn.Parameter(torch.randn(1, 16, width) * 0.1)
        self.blocks = nn.Sequential(*(CutBlock(width, 2, 32, cut) for _ in range(blocks)))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 10)

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2) + self.position
        return self.head(self.norm(self.blocks(x)).mean(1))


class Matched(nn.Module):
    """Two layers of which only the author knows which sizes go together."""

    def __init__(self, go_together):
        super().__init__()
        self.go_together = go_together
        self.a, self.b = nn.Linear(8, 16), nn.Linear(8, 16)
        self.c, self.d = nn.Linear(16, 2), nn.Linear(16, 2)

    def forward(self, x):
        a, b = torch.relu(self.a(x)), torch.relu(self.b(x))
        if not self.go_together(a.shape[1], b.shape[1]):
            raise ValueError("these do not go together")
        return self.c(a) + self.d(b)


class Unbound(nn.Module):
    """Takes the steps behind the channels apart, and then channels."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Conv1d(6, 16, 1), nn.Linear(16, 8), nn.Linear(4, 5)

    def forward(self, x):
        x = sum(torch.relu(step) for step in self.a(x).unbind(-1))
        parts = torch.unbind(self.b(x).unflatten(1, (-1, 4)), dim=1)
        return self.c(parts[0] * parts[1])


class Sorted(nn.Module):
    """Sorts channels, of which what is wanted is the first of two results."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(8, 16), nn.Linear(16, 16), nn.Linear(16, 2)

    def forward(self, x):
        return self.c(torch.relu(self.b(self.a(x).sort(1)[0])))


class Holder(nn.Module):
    """Uses an attribute that no space can hold."""

    def __init__(self):
        super().__init__()
        self.a, self.sizes = nn.Linear(8, 16), {2, 3}

    def forward(self, x):
        return self.a(x).unflatten(1, (-1, max(self.sizes) - 1))
