"""
A natural scene
===============

The picture that the animal was shown. The demo's are made up.
"""

from spikehouse import EcephysProjectCache, plots

cache = EcephysProjectCache.from_demo()
plots.plot_image(cache.get_natural_scene_template(5), title="natural scene 5")
