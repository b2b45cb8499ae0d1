"""The figures of the paper and of characterized models, one row each: drawing and pruning follow from these."""

from __future__ import annotations

from .specs import Curve, Drawing, Panel

_BN = r"\delta_\mathrm{BN}\,\chi"


_PHI = r"\delta_\phi\,\chi"


_DELTA = r"\delta\chi"


_GROWTH = r"growth of $\chi$ in a layer"


_RANK = r"effective rank $r_\mathrm{eff}$"


_MOMENTS = r"moments of $\mathbf{z}^l$"


FIGURES: dict[str, Drawing] = {
    "vanilla_histo": Drawing(
        (
            Panel(r"$\ln\,\nu_2(\mathbf{x}^l)$", (Curve(r"\nu_2(\mathbf{x}^l)", "nu2_signal_loc3"),), kind="histogram"),
            Panel(
                r"$\ln\,\mu_2(\mathrm{d}\mathbf{x}^l)$",
                (Curve(r"\mu_2(\mathrm{d}\mathbf{x}^l)", "mu2_noise_loc3"),),
                kind="histogram",
            ),
        )
    ),
    "vanilla": Drawing(
        (
            Panel(r"$\delta\chi^l$", (Curve(r"\delta\chi^l", "chi_loc3", "chi_loc1"),), reference=True),
            Panel(
                r"$r_\mathrm{eff}(\mathbf{x}^l)$",
                (Curve(r"r_\mathrm{eff}(\mathbf{x}^l)", "reff_signal_loc3"),),
                reference=True,
            ),
        )
    ),
    "bn_ff": Drawing(
        (
            Panel(
                _GROWTH,
                (
                    Curve(rf"{_BN}^l", "chi_loc3", "chi_loc1"),
                    Curve(rf"{_PHI}^l", "chi_loc4", "chi_loc3", relation="nu1_abs_signal_loc3"),
                    Curve(rf"{_DELTA}^l", "chi_loc4", "chi_loc1"),
                ),
                reference=True,
            ),
            Panel(r"$\chi^l$", (Curve(r"\chi^l", "chi_loc4"),), log=True),
            Panel(
                _RANK,
                (
                    Curve(r"r_\mathrm{eff}(\mathrm{d}\mathbf{x}^l)", "reff_noise_loc4"),
                    Curve(r"r_\mathrm{eff}(\mathbf{x}^l)", "reff_signal_loc4"),
                ),
                log=True,
                reference=True,
            ),
            Panel(
                _MOMENTS,
                (
                    Curve(r"\mu_4(\mathbf{z}^l)", "mu4_signal_loc3"),
                    Curve(r"\nu_1(|\mathbf{z}^l|)", "nu1_abs_signal_loc3"),
                ),
                log=True,
            ),
        )
    ),
    "bn_res": Drawing(
        (
            Panel(
                _GROWTH,
                (
                    Curve(rf"{_BN}^{{l,1}}", "chi_loc2", "chi_loc1"),
                    Curve(rf"{_PHI}^{{l,1}}", "chi_loc4", "chi_loc2", relation="nu1_abs_signal_loc2"),
                    Curve(rf"{_DELTA}^{{l,1}}", "chi_loc4", "chi_loc1"),
                ),
                reference=True,
            ),
            Panel(r"$\chi^l$", (Curve(r"\chi^l", "chi_loc5"),), power_law=("chi_loc1", "chi_loc4")),
            Panel(
                _RANK,
                (
                    Curve(r"r_\mathrm{eff}(\mathrm{d}\mathbf{x}^{l,1})", "reff_noise_loc3"),
                    Curve(r"r_\mathrm{eff}(\mathbf{x}^{l,1})", "reff_signal_loc3"),
                ),
                log=True,
                reference=True,
            ),
            Panel(
                r"moments of $\mathbf{z}^{l,1}$",
                (
                    Curve(r"\mu_4(\mathbf{z}^{l,1})", "mu4_signal_loc2"),
                    Curve(r"\nu_1(|\mathbf{z}^{l,1}|)", "nu1_abs_signal_loc2"),
                ),
            ),
        ),
        depth="residual unit $l$",
    ),
}


LAYERS = Drawing(
    (
        Panel(r"$\chi$", (Curve(r"\chi", "chi"),), log=True),
        Panel(r"growth of $\chi$", (Curve(r"\chi\,/\,\chi_\mathrm{in}", "growth"),), reference=True),
        Panel(
            r"shape of $\mathbf{x}$",
            (
                Curve(r"\mu_4\,/\,\mu_2^2", "kurtosis"),
                Curve(r"\nu_1\,/\,\nu_2^{1/2}", "magnitude"),
            ),
            log=True,
        ),
        Panel(
            r"effective rank $r_\mathrm{eff}$",
            (
                Curve(r"r_\mathrm{eff}(\mathrm{d}\mathbf{x})", "reff_noise"),
                Curve(r"r_\mathrm{eff}(\mathbf{x})", "reff_signal"),
            ),
            log=True,
            reference=True,
        ),
    ),
    depth="layer",
)
