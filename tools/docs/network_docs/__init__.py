"""Pictures of networks, drawn from what the built modules do: data flow, lanes, layout, SVG."""
