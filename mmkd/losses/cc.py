"""CC: Correlation Congruence for Knowledge Distillation (Peng et al., ICCV 2019,
1904.01802).
"""

from __future__ import annotations

from torch import Tensor, nn

from mmkd.loss import Loss, Site, exact
from mmkd.registry import MODELS
from mmkd.targets import Targets


@MODELS.register_module()
class CC(Loss):
    r"""Match features where the next image of the batch does not match either.

    .. math:: \frac{1}{N - 1} \sum_{n=1}^{N-1} \sum_k \delta_{nk} \delta_{n+1,k}, \quad
        \delta = | W_s f_s + b_s - W_t f_t - b_t |

    Both sides pass through a linear layer of their own, which learns with the student:
    the teacher's too, so that nothing but the student's own loss keeps the two from
    saying the same of every image. This is the code that the authors gave to
    RepDistiller, whose weight with this reduction is 0.02 on CIFAR-100. The paper's
    kernels between all images (a Taylor series of a Gaussian) are not in it. One image
    alone has the value 0.

    Args:
        width: Outputs of the linear layers.
    """

    same_shape = False  # only the number of images must agree

    def __init__(self, width: int = 128) -> None:
        super().__init__()
        self.width = width

    def build(self, site: Site) -> None:
        """Make the linear layers."""
        s, t = (x[0].flatten(1).shape[1] for x in (site.students, site.teachers))
        self.student = nn.Linear(s, self.width)
        self.teacher = nn.Linear(t, self.width)

    @exact
    def forward(
        self, student: Tensor, teacher: Tensor, targets: Targets | None = None
    ) -> Tensor:
        """Compare pooled features (N, C)."""
        s = self.student(student.flatten(1))
        apart: Tensor = (s - self.teacher(teacher.flatten(1))).abs()
        return (apart[:-1] * apart[1:]).sum() / max(1, len(apart) - 1)
