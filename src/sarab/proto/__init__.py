"""Sans-IO machines: values and the time in, values and deadlines out. Imports wire only; reads no clock."""
