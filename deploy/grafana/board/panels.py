"""The kinds of panel. Each has to say what it shows, what to do, and in what unit."""

GREEN, YELLOW, ORANGE, RED = "green", "yellow", "orange", "red"


def steps(*above):
    """The colours of values: green, and what each pair of a colour and a value says from there."""
    first = [{"color": GREEN, "value": None}]
    return {
        "mode": "absolute",
        "steps": first + [{"color": color, "value": value} for color, value in above],
    }


def falling(*below):
    """The same for what is bad if it is low: each pair is a value and the colour from there."""
    first = [{"color": RED, "value": None}]
    return {
        "mode": "absolute",
        "steps": first + [{"color": color, "value": value} for color, value in below],
    }


def panel(kind, title, description, unit, queries, width, height, **options):
    """`queries` are pairs of a legend and an expression."""
    instant = options.pop("instant", False)
    form = options.pop("form", "time_series")
    targets = [
        {
            "datasource": {"type": "prometheus", "uid": "${datasource}"},
            "editorMode": "code",
            "exemplar": form == "heatmap",
            "expr": expression,
            "format": form,
            "instant": instant,
            "legendFormat": legend,
            "range": not instant,
            "refId": chr(ord("A") + place),
        }
        for place, (legend, expression) in enumerate(queries)
    ]
    defaults = {
        "unit": unit,
        "color": options.pop("color", {"mode": "palette-classic"}),
        "custom": options.pop("custom", {}),
        "mappings": options.pop("mappings", []),
        "thresholds": options.pop("thresholds", steps()),
    }
    for option in ("min", "max", "decimals"):
        if option in options:
            defaults[option] = options.pop(option)
    return {
        "type": kind,
        "title": title,
        "description": description,
        "datasource": {"type": "prometheus", "uid": "${datasource}"},
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "gridPos": {"w": width, "h": height},
        "options": options,
        "targets": targets,
    }


def lines(title, description, unit, queries, width=8, height=8, stacked=False, **more):
    """Over time. Lines begin at zero, and bounds are drawn where colours are given."""
    return panel(
        "timeseries",
        title,
        description,
        unit,
        queries,
        width,
        height,
        custom={
            "drawStyle": "line",
            "fillOpacity": 30 if stacked else 5,
            "lineWidth": 1,
            "showPoints": "never",
            "spanNulls": False,
            "stacking": {"group": "A", "mode": "normal" if stacked else "none"},
            "thresholdsStyle": {"mode": "dashed" if "thresholds" in more else "off"},
        },
        legend={"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
        tooltip={"mode": "multi", "sort": "desc"},
        **{"min": 0, **more},
    )


def number(title, description, unit, queries, width=4, **more):
    """The latest value, or one for all that is shown."""
    return panel(
        "stat",
        title,
        description,
        unit,
        queries,
        width,
        4,
        instant=True,
        color={"mode": "thresholds"},
        colorMode="value",
        graphMode="none",
        justifyMode="auto",
        orientation="auto",
        reduceOptions={"calcs": ["lastNotNull"], "fields": "", "values": False},
        textMode="value_and_name" if len(queries) > 1 else "value",
        **more,
    )


def bars(title, description, unit, queries, width=8, height=8, **more):
    """One bar for each series."""
    return panel(
        "bargauge",
        title,
        description,
        unit,
        queries,
        width,
        height,
        instant=True,
        color={"mode": "thresholds"},
        displayMode="basic",
        orientation="horizontal",
        reduceOptions={"calcs": ["lastNotNull"], "fields": "", "values": False},
        showUnfilled=True,
        valueMode="color",
        **{"min": 0, **more},
    )


def states(title, description, unit, queries, mappings, width=24, height=8):
    """What state each series was in."""
    return panel(
        "state-timeline",
        title,
        description,
        unit,
        queries,
        width,
        height,
        custom={"fillOpacity": 80, "lineWidth": 0},
        mappings=[{"type": "value", "options": mappings}],
        alignValue="left",
        legend={"displayMode": "list", "placement": "bottom", "showLegend": True},
        mergeValues=True,
        rowHeight=0.9,
        showValue="auto",
        tooltip={"mode": "single", "sort": "none"},
    )


def heat(title, description, query, width=12, height=8):
    """How many durations there were in each bucket; exemplars are points on it."""
    drawn = panel(
        "heatmap",
        title,
        description,
        "s",
        [("{{le}}", query)],
        width,
        height,
        form="heatmap",
        calculate=False,
        cellGap=1,
        cellValues={"unit": "reqps"},
        exemplars={"color": "rgba(255,0,255,0.7)"},
        filterValues={"le": 1e-9},
        legend={"show": True},
        rowsFrame={"layout": "auto"},
        showValue="never",
        tooltip={"mode": "single", "showColorScale": True, "yHistogram": False},
        yAxis={"axisPlacement": "left", "reverse": False, "unit": "s"},
    )
    drawn["options"]["color"] = {
        "mode": "scheme",
        "scheme": "Oranges",
        "exponent": 0.5,
        "fill": "dark-orange",
        "reverse": False,
        "scale": "exponential",
        "steps": 64,
    }
    return drawn
