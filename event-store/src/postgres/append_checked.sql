select command, outcome, "offset", partition, events, version, same_request, recorded_at, x_index
  from append_checked($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
