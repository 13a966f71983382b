"""The networks behind the runs, built: what they cost, what they make of images."""

from __future__ import annotations

import argparse
from typing import Any, NamedTuple

from mmengine.config import Config

from mmkd.build import build_model
from mmkd.launch import merge_options
from mmkd.report.compare import Comparison
from mmkd.report.images import Images, read_images
from mmkd.report.measure import Cost, count_macs, count_parameters, time_models
from mmkd.report.study import Study, study
from mmkd.report.subjects import (
    ANY,
    enter,
    example,
    line,
    load_subjects,
    networks,
    ready,
    reference,
)

Notes = dict[str, list[str]]


AGAIN = 'Give --cfg-options val_dataloader.dataset.data_root=… if it is elsewhere.'


class Survey(NamedTuple):
    """What was found out about the networks.

    Args:
        images: The validation images, if they can be read.
        costs: Parameters and the like, by label.
        study: What the networks make of the images.
        shape: Size of the image that costs are for, in words.
    """

    images: Images | None
    costs: dict[str, Cost]
    study: Study | None
    shape: str


def survey(args: argparse.Namespace, comparison: Comparison, notes: Notes) -> Survey:
    """Build the networks: what they cost, and what they make of images."""
    if args.no_costs:
        notes['result'].append('Costs were left out (--no-costs).')
        return Survey(None, {}, None, '')
    config = Config(reference(comparison).config.to_dict())
    merge_options(config, args.cfg_options)
    images = None
    try:
        enter(config)
        images = read_images(config, args.images)
    except ANY as error:
        text = f'The validation images cannot be read ({line(error)}). {AGAIN}'
        notes['learned'].append(text)
    costs, shape = measure(comparison, images, args.seconds, notes)
    found = None
    if args.no_features:
        notes['learned'] = ['Left out (--no-features).']
    elif images is not None:
        found = show(comparison, images, args.seconds, notes)
    return Survey(images, costs, found, shape)


def show(
    comparison: Comparison, images: Images, seconds: float, notes: Notes
) -> Study | None:
    """What the trained networks make of the images."""
    try:
        subjects = load_subjects(comparison, notes['learned'])
        terms = [group.config.model.terms for group in comparison.of('distilled')]
        if any(subject.trained for subject in subjects):
            return study(subjects, images, terms, seconds)
        notes['learned'].append(
            'There is no checkpoint to load. Keep the last one of each run: '
            "default_hooks.checkpoint=dict(type='CheckpointHook')."
        )
    except ANY as error:
        notes['learned'].append(f'The networks could not be shown: {line(error)}')
    return None


def measure(
    comparison: Comparison, images: Images | None, seconds: float, notes: Notes
) -> tuple[dict[str, Cost], str]:
    """Parameters, multiply-adds and latency of all networks."""
    costs: dict[str, Cost] = {}
    models: dict[str, Any] = {}
    data: dict[str, Any] = {}
    shape = ''
    for name, (_, settings) in networks(comparison).items():
        macs = None
        try:
            model = ready(build_model(settings, name))
            costs[name] = Cost(count_parameters(model))
            batch = example(model, images)
            height, width = batch['inputs'].shape[-2:]
            shape = f' of {height} × {width}'
            macs = count_macs(model, batch)
            costs[name] = Cost(costs[name].parameters, macs)
            models[name], data[name] = model, batch
        except ANY as error:
            what = 'built' if name not in costs else 'run on an image'
            notes['result'].append(f'{name} cannot be {what} here: {line(error)}')
    try:
        times = time_models(models, data, seconds / 4) if models else {}
    except ANY as error:
        notes['result'].append(f'Latency could not be measured: {line(error)}')
        times = {}
    for name, (seconds, passes) in times.items():
        known = costs[name]
        costs[name] = Cost(known.parameters, known.macs, seconds, passes)
    return costs, shape
