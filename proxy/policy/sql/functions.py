"""Functions that reach out of a query: files, programs, other hosts, SQL in a string.

What belongs here: their names, over all databases that the reader knows, and the names of functions
that only compute. A function in neither list may be anything that somebody once stored in the
database; rules see it as unknown.
"""

from __future__ import annotations

import re

from sqlglot import exp

from proxy.policy.sql.names import listed

READS_FILE = listed(
    "load_file pg_read_file pg_read_binary_file pg_ls_dir pg_ls_logdir pg_ls_waldir pg_stat_file "
    "lo_import readfile read_text read_blob read_csv read_csv_auto read_json read_json_auto "
    "read_json_objects read_ndjson read_ndjson_auto read_parquet parquet_scan sniff_csv glob file "
    "filecluster openrowset xp_dirtree xp_fileexist xp_subdirs xp_regread utl_file.fopen bfilename "
    "sys_eval pg_current_logfile read_xlsx sqlite_scan fn_get_audit_file fn_xe_file_target_read_file "
    "dmbs_lob.loadfromfile xmltype.createxml"
)
WRITES_FILE = listed(
    "lo_export pg_file_write pg_file_rename pg_file_unlink pg_file_sync writefile edit "
    "xp_regwrite xp_delete_file sp_oacreate sp_oamethod utl_file.put_line utl_file.put "
    "pg_logical_emit_message"
)
RUNS_PROGRAM = listed(
    "xp_cmdshell sys_exec sys_eval load_extension sp_oacreate sp_oamethod sp_execute_external_script "
    "executable sp_start_job sp_add_job sp_add_jobstep dbms_scheduler.create_job "
    "dbms_java.runjava shell system exec_command"
)
USES_NETWORK = listed(
    "dblink dblink_exec dblink_connect dblink_connect_u dblink_open dblink_send_query http http_get "
    "http_post http_put http_patch http_delete net.http_get net.http_post net.http_delete url "
    "urlcluster s3 s3cluster gcs azureblobstorage hdfs remote remotesecure mysql postgresql mongodb "
    "openrowset openquery opendatasource external_query utl_http.request utl_http utl_smtp utl_tcp "
    "utl_inaddr.get_host_address httpuritype dbms_ldap.init postgres_scan mysql_scan iceberg_scan "
    "delta_scan xp_dirtree xp_fileexist sp_send_dbmail xp_sendmail sp_invoke_external_rest_endpoint "
    "aws_lambda.invoke aws_s3.query_export_to_s3 aws_s3.table_import_from_s3 pg_notify"
)
RUNS_TEXT = listed(
    "query_to_xml query_to_xmlschema query_to_xml_and_xmlschema cursor_to_xml database_to_xml "
    "table_to_xml schema_to_xml ts_stat crosstab crosstabn connectby dblink dblink_exec dblink_open "
    "dblink_send_query openquery openrowset external_query sp_executesql sp_prepare sp_prepexec "
    "sp_execute sp_msforeachtable sp_msforeachdb dbms_sql.parse dbms_xmlgen.getxml dbms_xmlquery "
    "execute_prepared_stmt query query_table json_execute_serialized_sql eval cron.schedule "
    "schedule schedule_in_database run_command_on_workers xp_execresultset sp_makewebtask "
    "postgres_query mysql_query postgres_execute mysql_execute ts_rewrite pg_background_launch"
)
CHANGES = listed(
    "set_config setval pg_terminate_backend pg_cancel_backend pg_reload_conf pg_rotate_logfile "
    "pg_switch_wal pg_create_restore_point pg_promote pg_drop_replication_slot "
    "pg_create_logical_replication_slot pg_replication_origin_drop lo_unlink lo_create lo_put "
    "lo_from_bytea pg_advisory_lock truncate_table sp_configure sp_addlogin sp_addsrvrolemember "
    "sp_addrolemember sp_rename sp_dropserver sp_addlinkedserver sp_password pg_stat_reset "
    "drop_chunks dropgeometrytable dropgeometrycolumn updategeometrysrid"
)
"""Built-in functions that change something in the database itself; rules see them as unknown."""

_COMPUTES = re.compile(
    r"(?:"
    r"(?:json|jsonb|array|regexp|regex|st|date|time|timestamp|datetime|safe|try|approx|hll|bit|bool"
    r"|json_group|xml|percentile|regr|covar|var|stddev|pg_get|pg_size|pg_is|pg_table|pg_total"
    r"|pg_relation|pg_database|pg_column|pg_indexes|pg_partition|current|width|cume|map|struct)_[a-z0-9_]*"
    r"|to_(?:char|date|number|timestamp|json|jsonb|tsvector|tsquery|hex|base64|days|seconds|ascii"
    r"|regclass|regtype|regproc|variant|array|object|varchar|decimal|time|binary|double|boolean)"
    r"|from_(?:unixtime|days|base64|hex|json|unixtime64milli)|is_(?:null|empty|nan|inf)"
    r"|has_[a-z]+_privilege|make_(?:date|time|timestamp|timestamptz|interval)|gen_random_[a-z]+"
    r"|row_to_json|last_(?:value|day|insert_id)|first_value|next_day|nth_value|dense_rank|percent_rank"
    r"|list_[a-z]+|str_to_date|str_to_map|format_[a-z]+|parse_(?:json|date|timestamp|datetime|url)"
    r"|generate_(?:array|date_array|timestamp_array|uuid)|session_user|system_user|phraseto_tsquery"
    r"|plainto_tsquery|websearch_to_tsquery|word_similarity|strict_word_similarity|bit_length"
    r"|character_length|substring_index|utc_time|array|year|month|week|day|hour|minute|second|count|sum"
    r"|avg|min|max|std|median|mode|every|any|left|right|upper|lower|substr|substring|trim|lpad|rpad"
    r"|abs|ceil|ceiling|floor|round|sign|sqrt|power|pow|exp|ln|log|log2|log10|mod|div|pi|rand|random|trunc"
    r"|degrees|radians|sin|cos|tan|asin|acos|atan|atan2|cot|cbrt|gcd|lcm|factorial|scale|greatest|least"
    r"|now|sysdate|getdate|getutcdate|sysdatetime|sysutcdatetime|curdate|curtime|localtime|localtimestamp|utc_timestamp|utc_date"
    r"|unixepoch|julianday|strftime|datetime|date|time|timestamp|age|extract|isfinite|makedate|maketime|dayname"
    r"|monthname|dayofweek|dayofyear|weekday|quarter|datediff|dateadd|datename|datepart|eomonth|timestampdiff"
    r"|length|len|char_length|octet_length|datalength|instr|locate|position|strpos|charindex|patindex|ascii|unicode|chr|char"
    r"|reverse|repeat|replicate|space|replace|translate|initcap|overlay|stuff|quote|quote_ident|quote_literal"
    r"|quote_nullable|format|printf|encode|decode|btrim|ltrim|rtrim|concat|elt|field|find_in_set|export_set|mid"
    r"|coalesce|ifnull|isnull|nullif|nvl|nvl2|iif|choose|if|decode|typeof|pg_typeof|cast|convert|try_cast|version"
    r"|user|database|schema|db_name|schema_name|object_name|object_id|suser_sname|suser_name|user_name|host_name"
    r"|row_number|rank|ntile|lag|lead|changes|total_changes|last_insert_rowid|rowcount|scope_identity|found_rows|total"
    r"|json|jsonb|json_each|json_tree|row|values|array|cardinality|unnest|flatten|explode|posexplode|sequence"
    r"|generate_series|generate_subscripts|string_agg|group_concat|listagg|array_agg|newid|newsequentialid|uuid"
    r"|checksum|hashbytes|binary_checksum|md5|sha1|sha2|sha256|sha512|crc32|hex|unhex|digest|crypt|gen_salt|inet_aton"
    r"|inet_ntoa|host|masklen|network|broadcast|family|likely|unlikely|likelihood|glob|like|zeroblob|sqlite_version"
    r"|setweight|ts_rank|ts_headline|ts_rank_cd|numnode|querytree|similarity|unaccent|serverproperty|columnproperty"
    r"|obj_description|col_description|shobj_description|pg_encoding_to_char|pg_backend_pid|txid_current|nextval|currval|lastval"
    r"|isjson|isnumeric|isdate|openjson|string_split|parsename|connection_id|bin|oct|conv|any_value|bm25|snippet|highlight"
    r")"
)
_KNOWN = frozenset(
    name.lower()
    for function in exp.ALL_FUNCTIONS
    for name in function.sql_names()
    if function is not exp.Anonymous
)


def computes(name: str) -> bool:
    """Tells whether a function is known to do no more than compute or look up."""
    if name in CHANGES or name in _REACHES:
        return False
    return name in _KNOWN or _COMPUTES.fullmatch(name) is not None


def called(root: exp.Expr) -> tuple[str, ...]:
    """Returns the names of the functions that a tree calls, lower case, without pg_catalog's like."""
    names: dict[str, None] = {}
    for node in root.find_all(exp.Func):
        if isinstance(node, exp.Anonymous | exp.AnonymousAggFunc):
            name = node.name.lower()
            parent = node.parent
            if isinstance(parent, exp.Dot):
                name = _dotted(parent, name)
            names[name] = None
        elif not isinstance(node, exp.Connector | exp.Cast | exp.Case | exp.Paren):
            names[node.sql_name().lower()] = None
    return tuple(names)


def _dotted(node: exp.Dot, name: str) -> str:
    """`pg_catalog.lo_export` is `lo_export`; `net.http_get` is itself."""
    full = f"{node.this.name.lower()}.{name}"
    return full if full in _REACHES or (name not in _REACHES and not computes(name)) else name


_REACHES = READS_FILE | WRITES_FILE | RUNS_PROGRAM | USES_NETWORK | RUNS_TEXT
