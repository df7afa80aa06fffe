-- order_detail, version 2: documents are CBOR instead of JSON. They are a third as long, so that most fit their row as they are,
-- and take a third of the time to write and half of the time to read. Personal values in them are sealed as in the log.
--
-- Where there are events already, the rows of version 1 stay for the programs that know it, until `docket rebuild order_detail`
-- has built those of version 2. Where nothing has happened yet, the first generation is of version 2.
do $$
declare
    is_new boolean := not exists (select from events)
                  and not exists (select from generations where projection = 'order_detail' and generation > 1);
    target text;
begin
    perform copy_table('templates.order_detail_v1', 'templates', 'order_detail_v2', true);
    if is_new then
        update projections set version = 2 where name = 'order_detail';
        update generations set version = 2 where projection = 'order_detail';
    end if;
    foreach target in array case when is_new then array['templates.order_detail_v2', 'public.order_detail_g1']
                            else array['templates.order_detail_v2'] end loop
        execute format('alter table %s alter column document type bytea using null', target);
        execute format('alter table %s alter column document set storage main', target);
        if exists (select from pg_settings where name = 'default_toast_compression' and 'lz4' = any (enumvals)) then
            execute format('alter table %s alter column document set compression lz4', target);
        end if;
    end loop;
end $$;
