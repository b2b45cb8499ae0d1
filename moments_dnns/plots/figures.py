"""Figures 2 to 5 of the paper and the figure of a characterized model: the panels of each, and their curves.

The plot functions, pruning and the choices of the command line follow from `FIGURES`.
"""

from __future__ import annotations

from .specs import Curve, Drawing, Panel

# Mathtext of curves, and labels of axes.
BATCH_NORM_GROWTH = r"\delta_\mathrm{BN}\,\chi"
ACTIVATION_GROWTH = r"\delta_\phi\,\chi"
LAYER_GROWTH = r"\delta\chi"
GROWTH_AXIS = r"growth of $\chi$ in a layer"
RANK_AXIS = r"effective rank $r_\mathrm{eff}$"
MOMENTS_AXIS = r"moments of $\mathbf{z}^l$"
UNIT_AXIS = "residual unit $l$"
SYMBOLS = {"signal": r"\mathbf{x}^l", "noise": r"\mathrm{d}\mathbf{x}^l"}

FIGURES: dict[str, Drawing] = {
    # Figure 2.
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
    # Figure 3.
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
    # Figure 4.
    "bn_ff": Drawing(
        (
            Panel(
                GROWTH_AXIS,
                (
                    Curve(rf"{BATCH_NORM_GROWTH}^l", "chi_loc3", "chi_loc1"),
                    Curve(rf"{ACTIVATION_GROWTH}^l", "chi_loc4", "chi_loc3", relation="nu1_abs_signal_loc3"),
                    Curve(rf"{LAYER_GROWTH}^l", "chi_loc4", "chi_loc1"),
                ),
                reference=True,
            ),
            Panel(r"$\chi^l$", (Curve(r"\chi^l", "chi_loc4"),), log=True),
            Panel(
                RANK_AXIS,
                (
                    Curve(r"r_\mathrm{eff}(\mathrm{d}\mathbf{x}^l)", "reff_noise_loc4"),
                    Curve(r"r_\mathrm{eff}(\mathbf{x}^l)", "reff_signal_loc4"),
                ),
                log=True,
                reference=True,
            ),
            Panel(
                MOMENTS_AXIS,
                (
                    Curve(r"\mu_4(\mathbf{z}^l)", "mu4_signal_loc3"),
                    Curve(r"\nu_1(|\mathbf{z}^l|)", "nu1_abs_signal_loc3"),
                ),
                log=True,
            ),
        )
    ),
    # Figure 5.
    "bn_res": Drawing(
        (
            Panel(
                GROWTH_AXIS,
                (
                    Curve(rf"{BATCH_NORM_GROWTH}^{{l,1}}", "chi_loc2", "chi_loc1"),
                    Curve(rf"{ACTIVATION_GROWTH}^{{l,1}}", "chi_loc4", "chi_loc2", relation="nu1_abs_signal_loc2"),
                    Curve(rf"{LAYER_GROWTH}^{{l,1}}", "chi_loc4", "chi_loc1"),
                ),
                reference=True,
            ),
            Panel(r"$\chi^l$", (Curve(r"\chi^l", "chi_loc5"),), power_law=("chi_loc1", "chi_loc4")),
            Panel(
                RANK_AXIS,
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
        depth=UNIT_AXIS,
    ),
}

# Of the arrays of `analysis.model_layers.layer_arrays`.
MODEL_LAYERS = Drawing(
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
            RANK_AXIS,
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

# Panels of models of which gradients, or tokens, were measured, by the array that only these have.
MODEL_PANELS: dict[str, Panel] = {
    "log_gradient": Panel(r"norm of $\nabla_{\mathbf{x}}$", (Curve(r"\|\nabla_{\mathbf{x}}\|", "gradient"),), log=True),
    "reff_tokens": Panel(
        r"tokens",
        (
            Curve(r"r_\mathrm{eff}\,\mathrm{of\ a\ sequence}", "reff_tokens"),
            Curve(r"1 - \cos", "token_distance"),
        ),
        log=True,
    ),
}
