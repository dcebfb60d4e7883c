import ArgumentParser

/// In what float32 layers with constant weights compute, where the processor is fast at it.
enum Precision: String, ExpressibleByArgument, CaseIterable { case float32, bfloat16 }
