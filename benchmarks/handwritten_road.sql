-- What somebody would write by hand who wanted the same raw, staged and star tables of Online Retail as day-partitioned
-- Parquet, without contracts, audits, atomic publication or a history. Run by road.py, which puts in $source and $root.
SET TimeZone = 'UTC';

CREATE TEMP TABLE delivered AS
SELECT
    InvoiceNo, StockCode, Description, CAST(Quantity AS VARCHAR) AS Quantity, InvoiceDate,
    CAST(UnitPrice AS VARCHAR) AS UnitPrice, CAST(CAST(CustomerID AS BIGINT) AS VARCHAR) AS CustomerID, Country,
    file_row_number + 1 AS row_number
FROM read_parquet('$source', file_row_number = true);

-- raw: text as delivered, with where it came from
CREATE TEMP VIEW routed AS
SELECT *, starts_with(InvoiceNo, 'C') AS is_return,
    CAST(timezone('Europe/London', timezone('Europe/London', CAST(InvoiceDate AS TIMESTAMP))) AS DATE) AS delivery_day
FROM delivered;

COPY (
    SELECT InvoiceNo AS order_id, NULL::VARCHAR AS line, CustomerID AS user_id, StockCode AS product_id,
        InvoiceDate AS ordered_at, Quantity AS quantity, UnitPrice AS unit_price, NULL::VARCHAR AS discount,
        NULL::VARCHAR AS tax, NULL::VARCHAR AS shipping, NULL::VARCHAR AS currency, NULL::VARCHAR AS status,
        NULL::VARCHAR AS payment_method, NULL::VARCHAR AS campaign_id,
        CAST(to_json({'Description': Description, 'Country': Country}) AS VARCHAR) AS extra,
        NULL::VARCHAR AS malformed, delivery_day, 'orders' AS source, 3::BIGINT AS feed,
        'online_retail.parquet' AS file, row_number, NULL::VARCHAR AS row_key, NULL::VARCHAR AS excluded_as
    FROM routed WHERE NOT is_return
) TO '$root/raw_order_lines' (FORMAT parquet, COMPRESSION zstd, PARTITION_BY (delivery_day));

COPY (
    SELECT InvoiceNo AS return_id, NULL::VARCHAR AS line, NULL::VARCHAR AS order_id, CustomerID AS user_id,
        StockCode AS product_id, InvoiceDate AS returned_at, Quantity AS quantity, UnitPrice AS unit_price,
        NULL::VARCHAR AS refund, NULL::VARCHAR AS currency, NULL::VARCHAR AS reason, NULL::VARCHAR AS status,
        CAST(to_json({'Description': Description, 'Country': Country}) AS VARCHAR) AS extra,
        NULL::VARCHAR AS malformed, delivery_day, 'orders' AS source, 2::BIGINT AS feed,
        'online_retail.parquet' AS file, row_number, NULL::VARCHAR AS row_key, NULL::VARCHAR AS excluded_as
    FROM routed WHERE is_return
) TO '$root/raw_returns' (FORMAT parquet, COMPRESSION zstd, PARTITION_BY (delivery_day));

COPY (
    SELECT StockCode AS product_id, arg_max(Description, row_number) FILTER (WHERE Description <> '') AS name,
        NULL::VARCHAR AS category, NULL::VARCHAR AS subcategory, NULL::VARCHAR AS brand, NULL::VARCHAR AS list_price,
        NULL::VARCHAR AS cost, NULL::VARCHAR AS launched_on, max(row_number) AS row_number
    FROM delivered WHERE StockCode <> '' GROUP BY StockCode
) TO '$root/raw_products.parquet' (FORMAT parquet, COMPRESSION zstd);

COPY (
    SELECT CustomerID AS user_id, arg_max(Country, row_number) FILTER (WHERE Country <> '') AS country,
        max(row_number) AS row_number
    FROM delivered WHERE CustomerID <> '' GROUP BY CustomerID
) TO '$root/raw_users.parquet' (FORMAT parquet, COMPRESSION zstd);

-- staged: typed, each row kept or rejected
COPY (
    SELECT order_id, CAST(row_number AS VARCHAR) AS line, user_id, product_id,
        timezone('Europe/London', TRY_CAST(ordered_at AS TIMESTAMP)) AS ordered_at, TRY_CAST(quantity AS BIGINT) AS quantity,
        TRY_CAST(unit_price AS DECIMAL(18, 4)) AS unit_price, 0::DECIMAL(18, 4) AS discount, 0::DECIMAL(18, 4) AS tax,
        0::DECIMAL(18, 4) AS shipping, currency, 'completed' AS status, payment_method, campaign_id,
        CAST(TRY_CAST(ordered_at AS TIMESTAMP) AS DATE) AS day,
        CAST(to_json({'Country': json_extract_string(extra, '$.Country')}) AS VARCHAR) AS properties,
        CASE
            WHEN TRY_CAST(quantity AS BIGINT) < 0 OR TRY_CAST(unit_price AS DECIMAL(18, 4)) <= 0
                OR TRY_CAST(ordered_at AS TIMESTAMP) IS NULL OR TRY_CAST(quantity AS BIGINT) IS NULL
                OR TRY_CAST(unit_price AS DECIMAL(18, 4)) IS NULL OR order_id IS NULL OR product_id IS NULL
            THEN list_filter([
                CASE WHEN order_id IS NULL THEN 'missing_order_id' END,
                CASE WHEN product_id IS NULL THEN 'missing_product_id' END,
                CASE WHEN TRY_CAST(ordered_at AS TIMESTAMP) IS NULL THEN 'unparseable_ordered_at' END,
                CASE WHEN TRY_CAST(quantity AS BIGINT) < 0 THEN 'negative_quantity' END,
                CASE WHEN TRY_CAST(unit_price AS DECIMAL(18, 4)) < 0 THEN 'negative_price' END,
                CASE WHEN TRY_CAST(unit_price AS DECIMAL(18, 4)) = 0 THEN 'zero_price' END
            ], lambda code: code IS NOT NULL)
            ELSE []::VARCHAR[]
        END AS rejected,
        delivery_day, source, feed, file, row_number, row_key, excluded_as
    FROM read_parquet('$root/raw_order_lines/*/*.parquet', hive_partitioning = true, hive_types = {'delivery_day': DATE})
) TO '$root/staged_order_lines' (FORMAT parquet, COMPRESSION zstd, PARTITION_BY (delivery_day));

COPY (
    SELECT return_id, CAST(row_number AS VARCHAR) AS line, order_id, user_id, product_id,
        timezone('Europe/London', TRY_CAST(returned_at AS TIMESTAMP)) AS returned_at,
        -TRY_CAST(quantity AS BIGINT) AS quantity, TRY_CAST(unit_price AS DECIMAL(18, 4)) AS unit_price,
        NULL::DECIMAL(18, 4) AS refund, currency, reason, 'refunded' AS status,
        CAST(TRY_CAST(returned_at AS TIMESTAMP) AS DATE) AS day, NULL::VARCHAR AS properties,
        CASE
            WHEN TRY_CAST(quantity AS BIGINT) > 0 OR TRY_CAST(unit_price AS DECIMAL(18, 4)) < 0 THEN ['negative']
            ELSE []::VARCHAR[]
        END AS rejected,
        delivery_day, source, feed, file, row_number, row_key, excluded_as
    FROM read_parquet('$root/raw_returns/*/*.parquet', hive_partitioning = true, hive_types = {'delivery_day': DATE})
) TO '$root/staged_returns' (FORMAT parquet, COMPRESSION zstd, PARTITION_BY (delivery_day));

COPY (SELECT *, []::VARCHAR[] AS rejected FROM read_parquet('$root/raw_products.parquet'))
TO '$root/staged_products.parquet' (FORMAT parquet, COMPRESSION zstd);
COPY (SELECT *, []::VARCHAR[] AS rejected FROM read_parquet('$root/raw_users.parquet'))
TO '$root/staged_users.parquet' (FORMAT parquet, COMPRESSION zstd);

-- star
COPY (SELECT * FROM read_parquet('$root/staged_products.parquet'))
TO '$root/dim_products.parquet' (FORMAT parquet, COMPRESSION zstd);
COPY (SELECT *, md5(country) AS geography_id FROM read_parquet('$root/staged_users.parquet'))
TO '$root/dim_users.parquet' (FORMAT parquet, COMPRESSION zstd);
COPY (SELECT DISTINCT country, md5(country) AS geography_id FROM read_parquet('$root/staged_users.parquet'))
TO '$root/dim_geography.parquet' (FORMAT parquet, COMPRESSION zstd);
COPY (
    SELECT day::DATE AS day, year(day) AS year, month(day) AS month, weekofyear(day) AS iso_week
    FROM range(DATE '2010-12-01', DATE '2011-12-10', INTERVAL 1 DAY) AS days (day)
) TO '$root/dim_dates.parquet' (FORMAT parquet, COMPRESSION zstd);

COPY (
    SELECT day, order_id, line, user_id, product_id, ordered_at, status, quantity, unit_price,
        (quantity * unit_price)::DECIMAL(18, 4) AS gross, discount,
        ((quantity * unit_price)::DECIMAL(18, 4) - discount)::DECIMAL(18, 4) AS net, tax, shipping, payment_method,
        campaign_id, properties, excluded_as
    FROM read_parquet('$root/staged_order_lines/*/*.parquet', hive_partitioning = true, hive_types = {'delivery_day': DATE})
    WHERE len(rejected) = 0
    ORDER BY day, user_id, ordered_at, order_id, line
) TO '$root/fact_sales' (FORMAT parquet, COMPRESSION zstd, PARTITION_BY (day));

COPY (
    SELECT day, return_id, line, order_id, user_id, product_id, returned_at, quantity,
        coalesce(refund, (quantity * unit_price)::DECIMAL(18, 4)) AS refund, reason, status, properties, excluded_as
    FROM read_parquet('$root/staged_returns/*/*.parquet', hive_partitioning = true, hive_types = {'delivery_day': DATE})
    WHERE len(rejected) = 0
    ORDER BY day, user_id, returned_at, return_id, line
) TO '$root/fact_returns' (FORMAT parquet, COMPRESSION zstd, PARTITION_BY (day));

COPY (
    SELECT day, user_id, false AS is_anonymous, 0::BIGINT AS sessions, 0::BIGINT AS events, 0.0::DOUBLE AS active_time,
        count(DISTINCT order_id) AS orders, sum(quantity)::BIGINT AS units, sum(net)::DECIMAL(18, 4) AS revenue
    FROM read_parquet('$root/fact_sales/*/*.parquet', hive_partitioning = true, hive_types = {'day': DATE})
    WHERE user_id IS NOT NULL AND status <> 'cancelled'
    GROUP BY day, user_id
    ORDER BY day, user_id
) TO '$root/fact_user_days' (FORMAT parquet, COMPRESSION zstd, PARTITION_BY (day));
