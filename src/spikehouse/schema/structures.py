"""The brain structures in which the survey has units, and how the atlas colours them."""

from __future__ import annotations

import pandas as pd

# Facts of the ontology of the Allen Mouse Brain Common Coordinate Framework (CCFv3, 2017; Wang et
# al. 2020, doi:10.1016/j.cell.2020.04.007; © Allen Institute for Brain Science), in its order:
# acronym, name, colour of the atlas, division. Compared in three published copies of it.
_STRUCTURES = (
    ("grey", "Basic cell groups and regions", "BFDAE3", ""),
    ("VIS", "Visual areas", "08858C", "Isocortex"),
    ("VISal", "Anterolateral visual area", "08858C", "Isocortex"),
    ("VISam", "Anteromedial visual area", "08858C", "Isocortex"),
    ("VISl", "Lateral visual area", "08858C", "Isocortex"),
    ("VISp", "Primary visual area", "08858C", "Isocortex"),
    ("VISpm", "Posteromedial visual area", "08858C", "Isocortex"),
    ("VISli", "Laterointermediate area", "08858C", "Isocortex"),
    ("VISmma", "Mediomedial anterior visual area", "1AA698", "Isocortex"),
    ("VISmmp", "Mediomedial posterior visual area", "1AA698", "Isocortex"),
    ("VISrl", "Rostrolateral visual area", "009FAC", "Isocortex"),
    ("OLF", "Olfactory areas", "9AD2BD", "Olfactory areas"),
    ("COAa", "Cortical amygdalar area, anterior part", "61E7B7", "Olfactory areas"),
    ("COApm", "Cortical amygdalar area, posterior part, medial zone", "61E7B7", "Olfactory areas"),
    ("HPF", "Hippocampal formation", "7ED04B", "Hippocampal formation"),
    ("CA1", "Field CA1", "7ED04B", "Hippocampal formation"),
    ("CA2", "Field CA2", "7ED04B", "Hippocampal formation"),
    ("CA3", "Field CA3", "7ED04B", "Hippocampal formation"),
    ("DG", "Dentate gyrus", "7ED04B", "Hippocampal formation"),
    ("POST", "Postsubiculum", "48C83C", "Hippocampal formation"),
    ("PRE", "Presubiculum", "59B947", "Hippocampal formation"),
    ("SUB", "Subiculum", "4FC244", "Hippocampal formation"),
    ("ProS", "Prosubiculum", "58BA48", "Hippocampal formation"),
    ("BMAa", "Basomedial amygdalar nucleus, anterior part", "84EA81", "Cortical subplate"),
    ("CP", "Caudoputamen", "98D6F9", "Striatum"),
    ("TH", "Thalamus", "FF7080", "Thalamus"),
    ("VPL", "Ventral posterolateral nucleus of the thalamus", "FF8084", "Thalamus"),
    ("VPM", "Ventral posteromedial nucleus of the thalamus", "FF8084", "Thalamus"),
    ("PoT", "Posterior triangular thalamic nucleus", "FF8084", "Thalamus"),
    ("PP", "Peripeduncular nucleus", "FF8084", "Thalamus"),
    ("MGd", "Medial geniculate complex, dorsal part", "FF8084", "Thalamus"),
    ("MGv", "Medial geniculate complex, ventral part", "FF8084", "Thalamus"),
    ("MGm", "Medial geniculate complex, medial part", "FF8084", "Thalamus"),
    ("LGd", "Dorsal part of the lateral geniculate complex", "FF8084", "Thalamus"),
    ("LP", "Lateral posterior nucleus of the thalamus", "FF909F", "Thalamus"),
    ("PO", "Posterior complex of the thalamus", "FF909F", "Thalamus"),
    ("POL", "Posterior limiting nucleus of the thalamus", "FF909F", "Thalamus"),
    ("SGN", "Suprageniculate nucleus", "FF909F", "Thalamus"),
    ("Eth", "Ethmoid nucleus of the thalamus", "FF909F", "Thalamus"),
    ("LD", "Lateral dorsal nucleus of thalamus", "FF909F", "Thalamus"),
    ("PF", "Parafascicular nucleus", "FF909F", "Thalamus"),
    ("PIL", "Posterior intralaminar thalamic nucleus", "FF909F", "Thalamus"),
    ("RT", "Reticular nucleus of the thalamus", "FF909F", "Thalamus"),
    ("IGL", "Intergeniculate leaflet of the lateral geniculate complex", "FF909F", "Thalamus"),
    ("IntG", "Intermediate geniculate nucleus", "FF909F", "Thalamus"),
    ("LGv", "Ventral part of the lateral geniculate complex", "FF909F", "Thalamus"),
    ("ZI", "Zona incerta", "F2483B", "Hypothalamus"),
    ("MB", "Midbrain", "FF64FF", "Midbrain"),
    ("SCop", "Superior colliculus, optic layer", "FF7AFF", "Midbrain"),
    ("SCsg", "Superior colliculus, superficial gray layer", "FF7AFF", "Midbrain"),
    ("SCzo", "Superior colliculus, zonal layer", "FF7AFF", "Midbrain"),
    ("MRN", "Midbrain reticular nucleus", "FF90FF", "Midbrain"),
    ("SCiw", "Superior colliculus, motor related, intermediate white layer", "FF90FF", "Midbrain"),
    ("SCig", "Superior colliculus, motor related, intermediate gray layer", "FF90FF", "Midbrain"),
    ("APN", "Anterior pretectal nucleus", "FF90FF", "Midbrain"),
    ("NOT", "Nucleus of the optic tract", "FF90FF", "Midbrain"),
    ("OP", "Olivary pretectal nucleus", "FF90FF", "Midbrain"),
    ("PPT", "Posterior pretectal nucleus", "FF90FF", "Midbrain"),
    ("RPF", "Retroparafascicular nucleus", "FF90FF", "Midbrain"),
    ("LT", "Lateral terminal nucleus of the accessory optic tract", "FF90FF", "Midbrain"),
    ("VL", "Lateral ventricle", "AAAAAA", ""),
)


def list_structures() -> pd.DataFrame:
    """List the brain structures of the survey with their name and colour in the atlas.

    Returns
    -------
    DataFrame
        Index ``acronym`` ("VISp"), in the order of the atlas; name, color ("#08858C") and division
        ("Isocortex"; empty for "grey", which is all of the brain, and for ventricles).

    Examples
    --------
    >>> list_structures().loc["VISp"].to_dict()
    {'name': 'Primary visual area', 'color': '#08858C', 'division': 'Isocortex'}
    """
    table = pd.DataFrame(_STRUCTURES, columns=["acronym", "name", "color", "division"])
    return table.assign(color="#" + table["color"]).set_index("acronym")
