"""The mathematics: quadrature, certificates, kinks, assembly."""
