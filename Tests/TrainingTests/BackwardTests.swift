import Model
import Testing

@testable import Training
