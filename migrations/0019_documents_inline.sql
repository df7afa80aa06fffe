-- A document of 2 kB, packed, stays in its row: apart from it, reading one takes a walk down another index and two more pages,
-- and storing one leaves dead pieces and index entries behind. What does not fit a page goes apart as before. Rows that are there stay as
-- they are stored until they are written again.
alter table order_detail_g1 alter column document set storage main;
