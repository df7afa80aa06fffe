-- A rebuild folds a stretch of a partition's log order by order, so that the row of an order whose events lie far apart is
-- written once. Until all of a stretch is in the rows the checkpoint stands in front of it, and these say what of it is. The
-- mark holds the checkpoint where it stands: a program that does not know of it cannot go on in its middle.
alter table checkpoints
    add column stretch_after bigint,
    add column stretch_until bigint,
    add column stretch_done  bigint,
    add constraint checkpoints_stretch_check check (
        (stretch_after is null and stretch_until is null and stretch_done is null)
        or (stretch_after = "offset" and stretch_done >= 0 and stretch_done < stretch_until - stretch_after
            and num_nulls(stretch_after, stretch_until, stretch_done) = 0));

comment on column checkpoints."offset" is
    'the newest event whose effect is in the rows; while a rebuild fills them, up to stretch_until some later ones are in them as well';
comment on column checkpoints.stretch_after is 'the offset in front of the stretch that a rebuild folds order by order; null: none';
comment on column checkpoints.stretch_until is 'its last event';
comment on column checkpoints.stretch_done is 'events of the stretch, in the order in which they are folded, whose effect is in the rows';
comment on column rebuilds.folded is 'events of each partition that are folded; written: whose effect is in the rows; targets: the offset to which it goes';
