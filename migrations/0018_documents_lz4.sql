-- Most documents are long enough to be packed (some 2 kB), and they are read far more often than they are stored. lz4 unpacks them
-- several times as fast as what the server does by itself; a server that was built without it goes on as it is. Rows that
-- are there stay as they are stored until they are written again.
do $$
begin
    if exists (select from pg_settings where name = 'default_toast_compression' and 'lz4' = any (enumvals)) then
        alter table order_detail_g1 alter column document set compression lz4;
    end if;
end
$$;
