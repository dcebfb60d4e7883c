import Testing

@testable import Compression

@Suite struct CompressionTests {}
