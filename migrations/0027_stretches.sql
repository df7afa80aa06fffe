-- A rebuild folds a stretch of a partition's log order by order, so that the row of an order whose events lie far apart is
-- written once. Until all of a stretch is in the rows the checkpoint stands in front of it, and these say what of it is.
alter table checkpoints
    add column stretch_until bigint,
    add column stretch_done  bigint,
    add constraint checkpoints_stretch_check
        check ((stretch_until is null) = (stretch_done is null)
               and (stretch_until is null or (stretch_until > "offset" and stretch_done >= 0)));

comment on column checkpoints.stretch_until is 'the last event of the stretch that a rebuild folds order by order; null: none';
comment on column checkpoints.stretch_done is 'events of the stretch, in the order in which they are folded, whose effect is in the rows';
comment on column rebuilds.folded is 'events of each partition that are folded; written: whose effect is in the rows; targets: the offset to which it goes';
